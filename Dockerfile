# One recipe, one target a service: each image holds its service, the library, the packages that these need, and
# nothing else. What installs and builds them stays behind.
#   docker build --target worker .

# By its digest with deploy/pin_images.sh.
ARG PYTHON_IMAGE=python:3.13-slim

# The locked packages and the library, each as a wheel.
FROM ${PYTHON_IMAGE} AS wheels
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# requirements-otel.txt: with what traces need.
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-otel.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --quiet --no-deps --require-hashes --wheel-dir /wheels -r "$REQUIREMENTS"
RUN pip install --quiet --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY shared ./shared
RUN pip wheel --quiet --no-index --no-build-isolation --no-deps --wheel-dir /wheels .
# Installs the library with an extra: of the locked packages those that it needs.
COPY --chmod=755 <<"EOF" /usr/local/bin/install-taskyard
#!/bin/sh
set -e
extras=$1
[ "$REQUIREMENTS" != requirements-otel.txt ] || extras="${extras:+$extras,}otel"
python -m venv --without-pip /app/.venv
pip --python /app/.venv/bin/python install --quiet --no-index --find-links /wheels "taskyard[$extras]"
EOF

FROM wheels AS api-packages
ARG REQUIREMENTS
RUN install-taskyard api

FROM wheels AS scheduler-packages
ARG REQUIREMENTS
RUN install-taskyard ""

FROM wheels AS worker-packages
ARG REQUIREMENTS
RUN install-taskyard worker
# What tasks need besides; it must fit the locked packages.
COPY tasks/requirements.txt ./tasks/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /app/.venv/bin/python install --quiet -r tasks/requirements.txt \
    && pip --python /app/.venv/bin/python check

FROM ${PYTHON_IMAGE} AS service
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin taskyard
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY services/__init__.py ./services/
USER 10001

FROM service AS api
ENV API_HOST=0.0.0.0
COPY --from=api-packages /app/.venv ./.venv
COPY services/api ./services/api
EXPOSE 5000
CMD ["python", "-m", "services.api"]

FROM service AS scheduler
ENV METRICS_HOST=0.0.0.0
COPY --from=scheduler-packages /app/.venv ./.venv
COPY services/scheduler ./services/scheduler
COPY tasks/schedules.toml ./tasks/
EXPOSE 9100
CMD ["python", "-m", "services.scheduler"]

FROM service AS worker
ENV METRICS_HOST=0.0.0.0
COPY --from=worker-packages /app/.venv ./.venv
COPY services/worker ./services/worker
COPY tasks ./tasks
EXPOSE 9100
CMD ["python", "-m", "services.worker"]
