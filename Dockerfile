# docker build -t bpkd . && docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" bpkd train recipe.yaml
FROM python:3.12-slim
COPY . /source
RUN pip install --no-cache-dir -c /source/constraints.txt "/source[transformers,smp,instance,tensorboard]" \
    && rm -rf /source \
    && useradd --create-home bpkd
USER bpkd
WORKDIR /work
ENTRYPOINT ["bpkd"]
CMD ["--help"]
