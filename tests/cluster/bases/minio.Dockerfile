# MinIO's server, built from its Go module, as a user that is not root.
FROM debian:trixie-slim
LABEL org.opencontainers.image.title=minio org.opencontainers.image.licenses=AGPL-3.0-or-later
COPY minio /usr/local/bin/minio
RUN mkdir /data && chown 1000:1000 /data
USER 1000:1000
EXPOSE 9000
ENTRYPOINT ["/usr/local/bin/minio"]
CMD ["server", "/data"]
