# One recipe, one target a service: each image holds its service, the library and nothing else of the project.
#   docker build --target worker .

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /app/.venv
# requirements-otel.txt: with what traces need.
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-otel.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /app/.venv/bin/pip install --no-deps --require-hashes -r "$REQUIREMENTS"
COPY pyproject.toml README.md LICENSE ./
COPY shared ./shared
RUN /app/.venv/bin/pip install --no-build-isolation --no-deps .

FROM python:3.13-slim AS service
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin taskyard
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /app/.venv ./.venv
COPY services/__init__.py ./services/
USER 10001

FROM service AS api
ENV API_HOST=0.0.0.0
COPY services/api ./services/api
EXPOSE 5000
CMD ["python", "-m", "services.api"]

FROM service AS scheduler
ENV METRICS_HOST=0.0.0.0
COPY services/scheduler ./services/scheduler
COPY tasks/schedules.toml ./tasks/
EXPOSE 9100
CMD ["python", "-m", "services.scheduler"]

FROM service AS worker
ENV METRICS_HOST=0.0.0.0
COPY services/worker ./services/worker
COPY tasks ./tasks
EXPOSE 9100
CMD ["python", "-m", "services.worker"]
