dlv debug . -- --sigra-debug
