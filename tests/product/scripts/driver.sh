# driver.sh CASES SHELL...: runs each case in an empty directory, and tells its status, output and errors.
cases=$1
shift
for case in "$cases"/*; do
	mkdir work
	cp "$case" case
	cd work
	timeout 60 "$@" ../case > ../out 2> ../err < /dev/null
	status=$?
	cd ..
	printf '\n=== %s %s\n' "${case##*/}" $status
	cat out
	printf '\n--- errors\n'
	cat err
	rm -rf work
done
