# The control plane's programs and kube-proxy, one binary under five names; kube-proxy calls the tools that are installed.
FROM debian:trixie-slim
ARG http_proxy
ARG https_proxy
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iptables nftables conntrack ipset kmod \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*
COPY kube /usr/local/bin/kube
RUN for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do ln -s kube /usr/local/bin/$name; done
