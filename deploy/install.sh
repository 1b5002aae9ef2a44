#!/bin/sh
# Installs or upgrades hexi from the folder this lies in, without the net, and takes an upgrade back.
# Versions stand side by side; `current` points to the one in use. Interrupted at any point: run it again.
set -eu
umask 022

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
prefix=/opt/hexi
config=${HEXI_CONFIG:-/etc/hexi/hexi.toml}
user=
python=
patience=30
action=install

usage() {
  cat <<'HELP'
install.sh [--prefix DIR] [--config FILE] [--user NAME] [--python PYTHON] [--patience N]
           [--rollback | --restore]

  --prefix DIR     where versions are kept; /opt/hexi
  --config FILE    the settings of the installation; HEXI_CONFIG, else /etc/hexi/hexi.toml
  --user NAME      who owns the data; hexi when there is such a user, else whoever runs this
  --python PYTHON  the interpreter to build upon; else the first on PATH that fits
  --patience N     seconds that a platform which is not a systemd unit is given to be stopped; 30
  --rollback       back to the version before; what was taken since the upgrade is kept
  --restore        back to the version before with the backup made then; what came since is put aside
HELP
}

say() { printf '%s / %s\n' "$1" "$2"; }
die() {
  printf '%s / %s\n' "$1" "$2" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2 && shift ;;
    --config) config=$2 && shift ;;
    --user) user=$2 && shift ;;
    --python) python=$2 && shift ;;
    --patience) patience=$2 && shift ;;
    --rollback | --restore) action=${1#--} ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

# --- what is in this folder ---------------------------------------------------------------------

verify() {
  (cd "$here" && sha256sum --check --strict --quiet SHA256SUMS) ||
    die "文件与校验和不符：请重新取得离线包" "files are not what SHA256SUMS says: fetch the bundle again"
}

field() { sed -n "s/^$1=//p" "$2"; }

fits() {
  [ "$("$1" -c 'import sys, sysconfig
print("cp%d%d-%s" % (*sys.version_info[:2], sysconfig.get_platform().replace("-", "_")))' 2>/dev/null)" \
    = "$tag" ]
}

find_python() {
  minor=${tag#cp3} && minor=${minor%%-*}
  for candidate in ${python:-"python3.$minor" python3 python}; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then
      python=$(command -v "$candidate")
      return
    fi
  done
  die "没有合适的 Python：此包用于 $tag" "no Python that fits: this bundle is for $tag (--python names one)"
}

# --- one version --------------------------------------------------------------------------------

build() {
  if [ -e "$new/.complete" ]; then
    say "$version 已安装在 $new" "$version is installed in $new already"
    return
  fi
  rm -rf "$new"
  "$python" -m venv --without-pip "$new"
  run_pip --require-hashes -r "$here/requirements.txt"
  run_pip --no-deps "$here"/wheels/hexi-"$version"-*.whl
  "$new/bin/python" -m compileall -q -j 0 -x '/(tests|testing|faker)/' "$new/lib" >/dev/null || true
  (cd / && "$new/bin/hexi" --version && "$new/bin/hexi" check) >/dev/null ||
    die "新版本不能运行" "the new version does not run"
  cp "$here/install.sh" "$here/MANIFEST" "$new/"
  : >"$new/.complete"
}

# pip from its own wheel: a Python without ensurepip, as Debian's is, will do.
run_pip() {
  env PIP_CONFIG_FILE=/dev/null PYTHONPATH="$(echo "$here"/wheels/pip-*.whl)" "$new/bin/python" -m pip \
    install --no-index --find-links "$here/wheels" --no-compile --no-cache-dir \
    --disable-pip-version-check --root-user-action=ignore --quiet "$@" ||
    die "安装失败；没有切换版本" "the installation failed; the version in use was not changed"
}

switch_to() {
  ln -sfn "$1" "$prefix/.current"
  mv -T "$prefix/.current" "$prefix/current" # one rename: there is always a version in use
}

in_use() { readlink "$prefix/current" 2>/dev/null || true; }

# --- the installation around it -----------------------------------------------------------------

owner() {
  if [ -z "$user" ] && id hexi >/dev/null 2>&1; then user=hexi; fi
  [ -n "$user" ] || user=$(id -un)
}

# What the units give the platform beside its settings file, for the commands below too. It is read as
# systemd reads it, never run; and only when whoever runs this owns it, since it may name any library.
environment() {
  told=${config%/*}/environment
  [ -r "$told" ] || return 0
  [ -O "$told" ] || die "$told 不属于 $(id -un)" "$told does not belong to $(id -un)"
  while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%=*} value=${line#*=}
    case $name in
      "$line" | "" | [0-9]* | *[!A-Za-z0-9_]*) continue ;;
    esac
    case $value in
      \"*\") value=${value#\"} && value=${value%\"} ;;
      \'*\') value=${value#\'} && value=${value%\'} ;;
    esac
    export "$name=$value"
  done <"$told"
}

# A program of one version on the installation's data, as the data's owner.
hexi_of() {
  program=$prefix/$1/bin/hexi && shift
  if [ "$(id -un)" = "$user" ]; then
    (cd / && "$program" --config "$config" "$@")
  else
    (cd / && runuser -u "$user" -- "$program" --config "$config" "$@")
  fi
}

schema_of() {
  (cd / && "$prefix/$1/bin/python" -c 'from hexi.adapters.sql.schema import SCHEMA; print(SCHEMA)')
}

units() {
  command -v systemctl >/dev/null || return 0
  systemctl list-units --plain --no-legend --state=active 'hexi.service' 'hexi@*.service' 2>/dev/null |
    awk '{print $1}'
}

# The names of what ran are kept until it runs again, whatever happens in between.
stop() {
  running=$(units)
  if [ -n "$running" ]; then
    printf '%s\n' "$running" >"$prefix/.stopped"
    # shellcheck disable=SC2086
    systemctl stop $running
  fi
  data=$(hexi_of "$1" settings | sed -n 's/^data_dir = "\(.*\)"$/\1/p')
  if [ -e "$data/lock" ] && command -v flock >/dev/null; then
    flock --wait "$patience" "$data/lock" true || start_and_die \
      "平台仍在运行：请先停止它，再运行一次" "the platform is still running: stop it, then run this again"
  fi
}

# What went wrong before the switch: the version in use goes on.
start_and_die() {
  start
  die "$1" "$2"
}

start() {
  [ -e "$prefix/.stopped" ] || return 0
  # shellcheck disable=SC2046
  systemctl start $(cat "$prefix/.stopped")
  rm -f "$prefix/.stopped"
}

# --- upgrade and back ---------------------------------------------------------------------------

upgrade() {
  old=$1
  hexi_of "$version" doctor --before-upgrade ||
    die "升级前检查未通过；没有改变任何内容" "not fit for an upgrade; nothing was changed"
  stop "$old"
  backup=$prefix/backups/$old-before-$version.tar.gz
  { install -d -m 700 -o "$user" "$prefix/backups" && hexi_of "$old" backup "$backup"; } ||
    start_and_die "无法备份；没有升级" "no backup could be made; nothing was upgraded"
  printf 'from=%s\nversion=%s\nschema=%s\nbackup=%s\n' \
    "$version" "$old" "$(schema_of "$old")" "$backup" >"$prefix/.rollback"
  mv -T "$prefix/.rollback" "$prefix/rollback"
  switch_to "$version"
}

go_back() {
  [ -e "$prefix/rollback" ] || die "没有可退回的版本" "there is no version to go back to"
  old=$(field version "$prefix/rollback")
  newest=$(field from "$prefix/rollback")
  stop "$newest"
  if [ "$1" = restore ]; then
    hexi_of "$old" restore "$(field backup "$prefix/rollback")" --force
  else
    hexi_of "$newest" migrate run --to "$(field schema "$prefix/rollback")"
  fi
  switch_to "$old"
  rm -f "$prefix/rollback"
  start
  say "已退回 $old" "$old is in use again"
}

arrive() {
  if [ -e "$config" ]; then
    hexi_of "$version" migrate run || die "数据库结构没有升级：再运行一次，或退回（--rollback）" \
      "the tables were not brought up to date: run this again, or go back (--rollback)"
  fi
  start
  say "正在使用 $version：$prefix/current/bin/hexi" "$version is in use: $prefix/current/bin/hexi"
}

# --- what was asked for -------------------------------------------------------------------------

owner
environment
mkdir -p "$prefix"
if command -v flock >/dev/null; then
  exec 9>"$prefix/.lock"
  flock --nonblock 9 || die "另一个安装正在进行" "another installation is under way"
fi
if [ "$action" != install ]; then
  go_back "$action"
  exit
fi
verify
version=$(field version "$here/MANIFEST")
tag=$(field tag "$here/MANIFEST")
new=$prefix/$version
find_python
build
before=$(in_use)
if [ -z "$before" ]; then
  switch_to "$version"
elif [ "$before" != "$version" ]; then
  [ -e "$config" ] || die "找不到设置文件 $config（--config）" "there are no settings at $config (--config)"
  upgrade "$before"
fi
arrive
