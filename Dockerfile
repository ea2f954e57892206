# Parley with everything it needs. Without settings the image runs the demo, with an embedded database in /data.
#   docker build -t parley . && docker run -p 127.0.0.1:3000:3000 -v parley:/data parley
# The whole set, three nodes behind nginx with Postgres and Redis: docker-compose.yml.

# Debian 13: uWebSockets.js wants glibc 2.38 for Node 22 and later.
FROM node:24-trixie-slim AS source
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY patches ./patches

FROM source AS build
# No package runs a script here. The script of this project patches the driver.
RUN npm ci --ignore-scripts && npm run postinstall
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && rm dist/.tsbuildinfo

FROM source AS modules
# uWebSockets.js carries a binary for each platform and each Node: 250 MB, of which one is used.
RUN npm ci --omit=dev --ignore-scripts && npm run postinstall && \
  keep=$(node -p '`uws_${process.platform}_${process.arch}_${process.versions.modules}.node`') && \
  test -f "node_modules/uWebSockets.js/$keep" && \
  find node_modules/uWebSockets.js -name 'uws_*.node' ! -name "$keep" -delete

FROM node:24-trixie-slim
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
COPY package.json LICENSE ./
# A node writes to this folder alone, and only without DATABASE_URL: the root may be read-only.
RUN install -d -o node -g node /data
# The node listens on all addresses: only published ports reach the container from outside.
ENV NODE_ENV=production PARLEY_HOST=0.0.0.0 PARLEY_DATA_DIR=/data
USER node
EXPOSE 3000
# Parley stops in order at SIGTERM also as process 1, and starts no processes but its workers, which it waits for: no tini.
# Give it PARLEY_DRAIN_MS + PARLEY_SHUTDOWN_MS (30 s) and a little more: docker stop --time 40.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
