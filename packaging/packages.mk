# packages.mk - source tarball, Debian and RPM packages, and their tests
#
# Included by GNUmakefile. Packages are built from the tarball of `make dist` in
# $(BUILD)/deb and $(BUILD)/rpm, and call `make install DESTDIR=`. Everything
# here gives the same bytes from the same files, whoever builds it, wherever
# and when: tests/packaging/test_reproducible.py.

# The time that stands in all of them: of the last commit; in an unpacked
# tarball, which has no commits, of its files. Where git is missing it is about
# to be installed.
git := git -c safe.directory='$(CURDIR)'
SOURCE_DATE_EPOCH ?= $(shell if [ -e .git ] && command -v git >/dev/null; \
	then $(git) log -1 --format=%ct; else stat -c %Y GNUmakefile; fi)
export SOURCE_DATE_EPOCH

dist_name := postal-tracker-$(VERSION)
dist_file := $(BUILD)/$(dist_name).tar.gz

# $(BUILD) when it is inside the tree, where it is no source.
build_inside := $(patsubst $(CURDIR)/%,%,$(filter $(CURDIR)/%,$(abspath $(BUILD))))

.PHONY: dist deb rpm check-packaging
# The files that git knows or would take, as they are now; in an unpacked
# tarball all files.
dist: ## source tarball, $(BUILD)/postal-tracker-VERSION.tar.gz
	@mkdir -p $(BUILD)
	@if [ -e .git ]; then \
		$(git) ls-files -z --cached --others --exclude-standard \
			$(if $(build_inside),-- ':(exclude,literal)$(build_inside)'); \
	else \
		find . \( -path ./build -o -path './$(build_inside)' \) -prune -o \
			-type f -printf '%P\0'; \
	fi | LC_ALL=C sort -z >$(BUILD)/dist.files
	@tar --create --file=$(BUILD)/dist.tar --format=ustar --null \
		--no-recursion --files-from=$(BUILD)/dist.files \
		--transform='flags=r;s|^|$(dist_name)/|' \
		--mtime=@$(SOURCE_DATE_EPOCH) --mode=u=rwX,go=rX \
		--owner=0 --group=0 --numeric-owner
	@gzip -n -9 <$(BUILD)/dist.tar >$(dist_file)
	@rm $(BUILD)/dist.tar $(BUILD)/dist.files
	@echo "$(dist_file)"

# --- Debian -------------------------------------------------------------------

# Locale and umask of the caller leave no trace.
deb_build := umask 022 && cd $(BUILD)/deb/$(dist_name) && \
	LC_ALL=C.UTF-8 dpkg-buildpackage --build=full --no-sign

# With its source package, from which it can be built and tested elsewhere:
# `autopkgtest build/deb/*.deb build/deb/*.dsc -- lxc ...`.
deb: deps-deb ## Debian package and its source package, in $(BUILD)/deb
	@$(MAKE) --no-print-directory dist
	@rm -rf $(BUILD)/deb
	@mkdir -p $(BUILD)/deb
	@cp $(dist_file) $(BUILD)/deb/postal-tracker_$(VERSION).orig.tar.gz
	@umask 022 && tar -xzf $(dist_file) -C $(BUILD)/deb && \
		cp -r $(BUILD)/deb/$(dist_name)/packaging/debian \
		$(BUILD)/deb/$(dist_name)/debian
	$(deb_build)
	@ls $(BUILD)/deb/*.deb

# --- RPM ----------------------------------------------------------------------

rpm_packager ?= postal-tracker developers <postal-tracker@example.org>

# --nodeps: on a Debian machine the names of what is needed are others.
rpm: deps-rpm ## RPM package, in $(BUILD)/rpm
	@$(MAKE) --no-print-directory dist
	@rm -rf $(BUILD)/rpm
	@mkdir -p $(BUILD)/rpm
	umask 022 && LC_ALL=C.UTF-8 rpmbuild -bb --nodeps \
		--define '_topdir $(abspath $(BUILD)/rpm)' \
		--define '_sourcedir $(abspath $(BUILD))' \
		--define '_rpmdir $(abspath $(BUILD)/rpm)' \
		--define 'version_of_tree $(VERSION)' \
		--define 'packager $(rpm_packager)' \
		packaging/rpm/postal-tracker.spec
	@ls $(BUILD)/rpm/*/*.rpm

# --- tests --------------------------------------------------------------------

# As root: a Debian root with its own systemd is booted, in namespaces.
check-packaging: $(BUILD)/postal-tracker ## packages: built twice, linted, installed, upgraded, purged
	@mkdir -p $(BUILD)/packaging
	TREE=$(CURDIR) BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q \
		-p no:cacheprovider tests/packaging
