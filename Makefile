# Each target is one script; what a step does is written there and nowhere else.
.PHONY: demo test bench lint build install clean

build:
	@scripts/build.sh

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh

lint:
	@scripts/lint.sh

install:
	@scripts/install.sh

clean:
	rm -rf bin bench.json
