# Tessera on CPU or an NVIDIA GPU (docker run --gpus all): torch's PyPI wheel brings its own CUDA.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_OFFLINE=1 \
    TESSERA_DATA_DIR=/data \
    TESSERA_WEB__ENABLED=true \
    TESSERA_WEB__HOST=127.0.0.1

WORKDIR /app

# The biggest package first: a change of our own code does not fetch it again.
RUN pip install torch==2.13.0

COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY bot ./bot
COPY engine ./engine
COPY migrations ./migrations
RUN pip install -c requirements.lock .

RUN useradd --create-home --uid 10001 tessera && mkdir /data && chown 10001 /data
USER 10001
VOLUME /data

HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]

# SIGTERM drains: takes nothing new, finishes posts in flight, keeps the queue.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tessera"]
CMD ["run"]
