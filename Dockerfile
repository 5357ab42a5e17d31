# Message Mirror on one machine: the supervisor, its programs, and MariaDB for `database: { mode: managed }`.
# Configuration and secrets are mounted at /etc/message-mirror and must be readable by user 10001; what is to
# survive lies in /var/lib/message-mirror.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/packages scripts/packages
RUN scripts/packages build
COPY . .
RUN cmake -S . -B /build -G Ninja -DMM_TESTS=OFF && cmake --build /build && cmake --install /build --prefix /out --strip

FROM debian:bookworm-slim
COPY scripts/packages /tmp/packages
RUN /tmp/packages runtime && rm -rf /tmp/packages /var/lib/apt/lists/* /var/lib/mysql \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/message-mirror --shell /usr/sbin/nologin mirror \
    && install -d -m 0700 -o mirror -g mirror /var/lib/message-mirror
COPY --from=build /out/bin/ /usr/local/bin/
USER mirror
VOLUME /var/lib/message-mirror
ENTRYPOINT ["mirror-supervisor"]
