# start
export A=1
vllm serve 'm' \
  --max-model-len=8192 \
  --x "$A ${B:-1} $(nproc)" >log 2>&1 &
