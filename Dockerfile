# Any image with Node 24 and npm will do, for instance one of a mirror of your own.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional package is a Node for machines without one; the image has its own.
RUN npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
WORKDIR /app
RUN mkdir /data && chown 1000:1000 /data
COPY --from=dependencies /app/node_modules ./node_modules
COPY LICENSE package.json ./
COPY migrations ./migrations
COPY public ./public
COPY src ./src
# Made here, since the running program may not write beside itself: its types stripped, once.
RUN node src/stripped.js
# By number, so that a platform that refuses root can see that it isn't; the files above stay root's.
USER 1000:1000
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "src/healthcheck.js"]
CMD ["node", "--max-semi-space-size=2", "src/start.js"]
