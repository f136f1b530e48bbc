# SPDX-License-Identifier: Apache-2.0
# bash completion for coffer-oci

_coffer_oci_ids()
{
	local root=() i
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == --root ]] || continue
		[[ ${COMP_WORDS[i + 1]} != = ]] || i=$((i + 1)) # bash splits words there
		root=(--root "${COMP_WORDS[i + 1]}")
	done
	"${COMP_WORDS[0]}" "${root[@]}" list -q 2>/dev/null
}

_coffer_oci()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command="" flags i
	local global="--debug --log --log-format --root --systemd-cgroup --rootless --isolation --version"

	COMPREPLY=()
	if [[ $cur == = ]]; then # "--root=": its value, yet to be begun
		cur=""
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root | --log | --log-format | --rootless | --isolation)
			[[ ${COMP_WORDS[i + 1]} != = ]] || i=$((i + 1))
			i=$((i + 1))
			;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $prev in
	--bundle | -b | --root | --work-path | --image-path)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--log | --pid-file | --process | -p | --resources | -r | --console-socket | --pidfd-socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--log-format)
		mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur")
		return
		;;
	--rootless)
		[[ -n $command ]] || mapfile -t COMPREPLY < <(compgen -W "true false auto" -- "$cur")
		[[ -n $command ]] || return
		;;
	--format | -f)
		[[ $command == list || $command == ps ]] && mapfile -t COMPREPLY < <(compgen -W "table json" -- "$cur") && return
		;;
	--manage-cgroups-mode)
		mapfile -t COMPREPLY < <(compgen -W "soft full strict ignore" -- "$cur")
		return
		;;
	--isolation)
		mapfile -t COMPREPLY < <(compgen -W "ns" -- "$cur")
		return
		;;
	esac
	case $command in
	"") flags=$global ;;
	checkpoint) flags="--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump --manage-cgroups-mode --empty-ns --auto-dedup" ;;
	create) flags="--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds" ;;
	delete) flags="--force" ;;
	events) flags="--interval --stats" ;;
	exec) flags="--console-socket --pidfd-socket --cwd --env --tty --user --additional-gids --process --detach --pid-file --process-label --apparmor --no-new-privs --cap --preserve-fds --cgroup --vm --ignore-paused" ;;
	kill) flags="--all" ;;
	list) flags="--format --quiet" ;;
	ps) flags="--format" ;;
	restore) flags="--console-socket --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --bundle --detach --keep --pid-file --no-subreaper --no-pivot --empty-ns --auto-dedup --lazy-pages --lsm-profile --lsm-mount-context" ;;
	run) flags="--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --detach --keep --no-subreaper --preserve-fds" ;;
	spec) flags="--bundle --rootless" ;;
	update) flags="--resources --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --memory --cpu-idle --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema" ;;
	*) flags="--help" ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags --help" -- "$cur")
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "checkpoint create delete events exec features kill list pause ps restore resume run spec start state update help" -- "$cur")
	elif [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "checkpoint create delete events exec features kill list pause ps restore resume run spec start state update" -- "$cur")
	elif [[ $command == kill && $prev != kill && $prev != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -A signal -- "$cur")
	else
		case $command in
		checkpoint | delete | events | exec | kill | pause | ps | resume | start | state | update)
			mapfile -t COMPREPLY < <(compgen -W "$(_coffer_oci_ids)" -- "$cur")
			;;
		esac
	fi
}

complete -F _coffer_oci coffer-oci
