# The managed plugin's root file system: the base image, and what `npm run build` made. Nothing in dist/ depends on the
# processor and nothing is run here, so the same file serves amd64 and arm64, on either (one plugin tag each: Docker has no
# manifest lists for plugins).
#
# The base brings Node, and of Debian mount(8), umount(8) and sync(1). Where it cannot be pulled, a local image of that name
# serves: `npm run plugin:build` makes one.
FROM node:24-bookworm-slim

COPY LICENSE-MIT LICENSE-APACHE package.json /app/
COPY dist /app/dist

ENV NODE_ENV=production
WORKDIR /app
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/cli.js", "serve"]
