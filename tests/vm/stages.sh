# The stages of life.sh.  A boot runs one.

servers() {
	grep -q myqcloud /etc/hosts || echo '127.0.0.1 cos.local.myqcloud.com b-1250000000.cos.local.myqcloud.com' >>/etc/hosts
	mkdir -p /srv/cos
	systemd-run --quiet --collect --unit=origin python3 $here/servers/origin.py 8000
	# the endpoint lives as long as its standard input
	systemd-run --quiet --collect --unit=cos sh -c "sleep infinity | node $here/servers/cos/main.js --dir /srv/cos \
	    --bucket b-1250000000 --key AKIDlife:secretlife --port 9000 --region local"
	check "an HTTP origin is up" until_true 240 curl -s -o /dev/null http://127.0.0.1:8000/size/1
	check "a COS endpoint is up" until_true 240 curl -s -o /dev/null http://127.0.0.1:9000/
}

configure() {
	cat >/etc/ferryd/ferryd.conf <<-'C'
	database = "host=/run/postgresql dbname=ferry"
	workers  = 2
	retry_delay = "200ms"
	store "spool" {
	    kind = "file"
	    root = "/srv/spool"
	    rate = "4M"
	}
	store "cos" {
	    kind = "cos"
	    endpoint = "http://cos.local.myqcloud.com:9000"
	    region = "local"
	    access_key = "AKIDlife"
	    secret_key_file = "/etc/ferryd/cos.secret"
	}
	http {
	    allow = {"127.0.0.1"}
	    private = true
	}
	C
	echo secretlife >/etc/ferryd/cos.secret
	chown root:ferry /etc/ferryd/cos.secret
	chmod 640 /etc/ferryd/cos.secret
}

database() {
	systemctl start postgresql
	until_true 60 sh -c 'runuser -u postgres -- psql -qAtc "SELECT 1" >/dev/null 2>&1'
	(cd / && runuser -u postgres -- createdb -E UTF8 -T template0 ferry)
	(cd / && FERRYCTL_DATABASE="dbname=ferry" runuser -u postgres -- ferryctl migrate)
	sql "CREATE ROLE ferry LOGIN IN ROLE ferry_daemon"
}

# systemctl edit, without an editor
dropin() {
	mkdir -p /etc/systemd/system/ferryd.service.d
	printf '[Service]\n%s\n' "$2" >"/etc/systemd/system/ferryd.service.d/$1.conf"
	systemctl daemon-reload
}

installation() {
	check "the package installs" apt-get -y -o Debug::NoLocking=1 install $here/ferryd.deb
	check "the account is there" id ferry
	check "the configuration is for root and the account" equal "$(mode /etc/ferryd/ferryd.conf)" "640 root:ferry"
	check "nothing was started" is ActiveState inactive
	check "exposure is below 2.5" sh -c 'systemd-analyze security --no-pager ferryd | tail -n 1 | grep -qE "level for ferryd.service: ([01]|2\.[0-4])"'
}

wrong_configuration() {
	echo 'workers = "many"' >>/etc/ferryd/ferryd.conf
	check "a wrong configuration fails the start" fails systemctl start ferryd
	sleep 5
	check "and is not started again and again" is NRestarts 0
	check "the journal says what is wrong" says 'ferryd.conf:[0-9]+:.*workers'
	systemctl reset-failed ferryd
}

first_object() {
	configure
	mkdir -p /srv/spool
	chown ferry: /srv/spool
	dropin stores 'ReadWritePaths=/srv/spool'
	check "it starts" systemctl start ferryd
	check "the workers' caps are those of cgroup v2" says 'memory caps by cgroup v2'
	check "the journal knows the priority of lines" sh -c 'journalctl -u ferryd -o json | grep "memory caps" | grep -q "\"PRIORITY\":\"6\""'
	check "and no line has a time of its own" fails sh -c 'journalctl -u ferryd -o cat | grep -E "^(<[0-7]>)?[0-9]{4}-[0-9]{2}-"'
	check "no process is root's" equal "$(ps -o user= -p "$(master)" $(workers) | sort -u)" ferry
	task=$(put http://127.0.0.1:8000/size/3000000 spool://first 3000000)
	check "a first object arrives in a file store" ended "$task"
	task=$(put spool://first cos://b-1250000000/first 3000000)
	check "and goes on to COS" ended "$task"
}

# A worker that eats memory is killed by its own cap.
story_of_300_mb() {
	install -m 755 $here/preload_exec /var/lib/ferryd/hogging-worker
	printf 'WORKER=/usr/libexec/ferryd/ferry-worker\nLD_PRELOAD=%s/hog.so\nHOG_AFTER=100000000\nHOG_TRIGGER=/var/lib/ferryd/trigger\n' \
	    $here >/var/lib/ferryd/hogging-worker.env
	runuser -u ferry -- touch /var/lib/ferryd/trigger
	sed -i '1i worker_program = "/var/lib/ferryd/hogging-worker"' /etc/ferryd/ferryd.conf
	systemctl restart ferryd
	task=$(put http://127.0.0.1:8000/size/314572800 cos://b-1250000000/300 314572800)
	check "the kernel kills the worker, and the log says so" says 'killed: out of memory, peak [0-9.]+ MiB of 64.0 MiB cap \(cgroup v2\), task' 300
	check "the task resumes and is done" ended "$task" 400
	check "one death, of memory" value "SELECT ooms, crashes FROM ferry.task WHERE id = $task" "1|0"
	check "the daemon lived on" is NRestarts 0
	sed -i '/^worker_program/d' /etc/ferryd/ferryd.conf
	systemctl restart ferryd
}

reload_and_rotate() {
	sed -i 's/^workers .*/workers = 3/' /etc/ferryd/ferryd.conf
	check "it reloads" systemctl reload ferryd
	check "a third worker comes" until_true 30 sh -c '[ "$(pgrep -fc "^ferry-worker")" -eq 3 ]'
	check "logrotate accepts its part" logrotate -f /etc/logrotate.d/ferryd
	check "it still runs" is ActiveState active
}

watchdog() {
	dropin watchdog 'WatchdogSec=4'
	systemctl restart ferryd
	before=$(master)
	kill -STOP "$before"
	check "a master that hangs is replaced" until_true 90 sh -c "[ \"\$(systemctl show -P MainPID ferryd)\" != $before ] && [ \"\$(systemctl show -P ActiveState ferryd)\" = active ]"
	check "its workers are gone, too" until_true 30 sh -c '[ "$(pgrep -fc "^ferry-worker")" -eq 3 ]'
	rm /etc/systemd/system/ferryd.service.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart ferryd
}

release() {
	task=$(put http://127.0.0.1:8000/size/60000000 spool://release 60000000)
	check "a transfer runs" moves "$task" 10000000
	before=$(master)
	check "the next version installs" dpkg -i $here/next.deb
	check "and took over" fails equal "$(master)" "$before"
	check "the transfer ends well" ended "$task"
	check "nothing was counted against it" value "SELECT attempt, crashes, ooms FROM ferry.task WHERE id = $task" "0|0|0"
}

stage_1() {
	installation
	wrong_configuration
	servers
	database
	first_object
	story_of_300_mb
	reload_and_rotate
	watchdog
	release
	systemctl enable ferryd
	put http://127.0.0.1:8000/size/80000000 spool://reboot 80000000 >/var/lib/life.task
	check "a transfer runs" moves "$(cat /var/lib/life.task)" 10000000
	echo 2 >/var/lib/life
	echo "life: reboot"
	systemctl reboot
}

stage_2() {
	servers
	check "it runs after the reboot" until_true 60 is ActiveState active
	check "the transfer that the reboot cut goes on and ends well" ended "$(cat /var/lib/life.task)" 300
	check "nothing was counted against it" value "SELECT attempt, crashes, ooms FROM ferry.task WHERE id = $(cat /var/lib/life.task)" "0|0|0"
	check "it stops" systemctl stop ferryd
	check "no process stays" fails pgrep -f '^ferry(d|-worker)'
	systemctl start ferryd
	check "the package goes" apt-get -y remove ferryd
	check "and stops its daemon" fails pgrep -f '^ferry(d|-worker)'
	check "the configuration stays" test -e /etc/ferryd/ferryd.conf
	check "the package is purged" apt-get -y purge ferryd
	check "its files are gone" fails ls /etc/ferryd/ferryd.conf /var/log/ferryd /var/lib/ferryd /etc/logrotate.d/ferryd /etc/init.d/ferryd
	echo "life: complete"
	systemctl poweroff
}
