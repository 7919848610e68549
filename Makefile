# Each target runs one script, which has all of its steps.
.PHONY: demo test soak e2e bench lint build install clean

build:
	@scripts/build.sh

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

soak:
	@scripts/soak.sh

e2e:
	@scripts/e2e.sh

bench:
	@scripts/bench.sh

lint:
	@scripts/lint.sh

install:
	@scripts/install.sh

clean:
	rm -rf bin bench.json
