# One image for every process of apimgr; docker-compose.yml says which command each container runs.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-deps --require-hashes -r requirements.lock
COPY manage.py pyproject.toml ./
COPY apimgr apimgr
COPY apps apps
COPY templates templates
COPY static static
RUN useradd --system --uid 10001 apimgr && install -d -o apimgr /data
USER apimgr
ENV APIMGR_DATA=/data LISTEN_HOST=0.0.0.0
VOLUME /data
CMD ["python", "manage.py", "help"]
