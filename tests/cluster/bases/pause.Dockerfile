FROM scratch
COPY pause /pause
ENV PATH=/usr/local/bin
ENTRYPOINT ["/pause"]
