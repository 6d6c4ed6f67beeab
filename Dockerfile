# The server in an image: `make image`. Any base will do that has Python 3.11 or newer with its venv module, and libstdc++.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY . .
# Where packages come from can be said from outside, for a build without network: see tests/image.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Two environments: pip lives in the one that is thrown away.
RUN python3 -m venv /pip \
 && python3 -m venv --without-pip /opt/estiva \
 && /pip/bin/pip --python /opt/estiva/bin/python install --quiet --constraint constraints.txt ./client . \
 && install --directory --owner=65532 --group=65532 /data

FROM ${BASE}
COPY --from=build /opt/estiva /opt/estiva
COPY --from=build --chown=65532:65532 /data /var/lib/estiva
ENV PATH=/opt/estiva/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ESTIVA_DATA=/var/lib/estiva \
    ESTIVA_LISTEN=0.0.0.0:5000
USER 65532:65532
VOLUME /var/lib/estiva
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
  "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['ESTIVA_LISTEN'].rpartition(':')[2] + '/healthz', timeout=4)"]
CMD ["estiva", "serve"]
