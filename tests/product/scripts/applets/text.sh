printf 'b 2\na 10\nC 1\n' > f; sort f; sort -r f; sort -f f; sort -k2 f; sort -k2n f; sort -n -k2 -r f

printf '3\n1\n3\n2\n' > f; sort -u f; sort -n f; sort -c f; echo $?; sort -n -c f 2>/dev/null; echo $?; sort -o f f; sort -c f; echo $?

printf 'a:3:x\nb:1:y\nc:2:x\n' > f; sort -t: -k2,2 f; sort -t : -k3,3 -k2,2n f; sort -t: -k3r f; sort -s -t: -k3,3 f

printf '  b\n a\nc\n' | sort -b; printf 'a-b\na b\nab\n' | sort -d; printf 'JAN\nDEC\nMAR\n' | sort -M; printf '1e3\n2\n1e1\n' | sort -g; printf 'b\0a\0' | sort -z | tr '\0' ' '

printf '2K\n1M\n3\n' | sort -h; printf '1.10\n1.9\n' | sort -V; printf 'a\nb\n' > f; printf 'c\n' > g; sort f g; sort -m f g; sort < f

printf 'a\na\nb\nA\n' > f; uniq f; uniq -c f; uniq -d f; uniq -u f; uniq -i f; uniq f out; cat out

printf '1 x\n2 x\n2 y\n' > f; uniq -f 1 f; uniq -s 2 f; uniq -w 1 f; printf 'a\0a\0b\0' | uniq -z | tr '\0' ' '

printf 'one two\nthree\n' > f; wc f; wc -l f; wc -w f; wc -c f; wc -m f; wc -L f; wc f f; wc < f; printf '' | wc

seq 20 > f; head f; head -n 3 f; head -3 f; head -c 5 f; head -n -17 f; head -q -n 1 f f; head -v -n 1 f; head -n 1 f f

seq 20 > f; tail f; tail -n 3 f; tail -3 f; tail -c 5 f; tail -n +18 f; tail -c +45 f; tail -q -n 1 f f; tail -v -n 1 f; tail -n 1 f f

printf 'a:b:c\nd:e:f\nnone\n' > f; cut -d: -f2 f; cut -d : -f 1,3 f; cut -d: -f2- f; cut -d: -f-2 f; cut -s -d: -f1 f; cut -c2-3 f; cut -b1 f

printf 'a b  c\n' | cut -d' ' -f2,4; printf 'abcdef\n' | cut -c 1,3,5-; printf 'abc\n' | cut -c 3-1 2>/dev/null; echo $?; printf 'a:b\n' | cut -f1

printf 'hello\n' | tr a-y b-z; printf 'hello\n' | tr -d l; printf 'heellloo\n' | tr -s el; printf 'a1b2\n' | tr -c a-z .; printf 'a1b2\n' | tr -cd 0-9; echo

printf 'AbC\n' | tr '[:upper:]' '[:lower:]'; printf 'a b\n' | tr ' ' '\n'; printf 'x\ty\n' | tr '\t' ' '; printf 'aabbcc\n' | tr -s 'a-c' 'x'; printf 'a\\b\n' | tr '\\' /; printf 'abc\n' | tr 'abc' 'x'

printf '1\n2\n3\n' > f; printf 'a\nb\n' > g; paste f g; paste -d, f g; paste -s f; paste -s -d+ f; paste -d'\n' f g; paste - - < f; paste -d: - g < f

printf 'a\nb\nd\n' > f; printf 'b\nc\nd\n' > g; comm f g; comm -1 f g; comm -2 f g; comm -3 f g; comm -12 f g; comm -23 f g; comm -13 f g

printf 'abcdefgh ij\n' > f; fold -w 4 f; fold -s -w 9 f; fold -b -w 3 f; printf 'a\tb\n' | fold -w 4

printf 'a\tb\n\tc\n' > f; expand f; expand -t 4 f; expand -i f; expand f | unexpand; unexpand -a f; printf '        x       y\n' | unexpand; printf '        x       y\n' | unexpand -a; printf '    x\n' | unexpand -t 4

printf 'a\n\nb\n' > f; nl f; nl -b a f; nl -b t f; nl -b n f; nl -w 3 f; nl -s ': ' f; nl -v 10 f; nl -i 5 f

printf 'a\n\n\nb\tc\n\001' > f; cat f; cat -n f; cat -b f; cat -A f; cat -e f; cat -t f; cat -v f; cat f - < f | wc -l; cat none 2>/dev/null; echo $?

printf '1\n2\n3\n' > f; tac f; rev f; printf 'abc' | rev; printf 'a\nb' | tac; echo; printf 'a b c\n' | rev

seq 10 > f; split -l 4 f; wc -l x*; rm x*; split -b 7 f; wc -c x*; rm x*; split -l 5 f p; ls p*; split -a 3 -l 5 f q; ls q*

printf 'x\n' | tee a; cat a; printf 'y\n' | tee -a a b; cat a b; printf 'z\n' | tee -i a > /dev/null; cat a

seq 5; seq 2 4; seq 1 3 10; seq 5 -2 1; seq -w 8 11; seq -s , 4; seq 0.5 0.5 2; seq 3 1; seq -s '' 3

printf '%d %i %u %o %x %X\n' 10 -3 7 8 255 255; printf '%s|%5s|%-5s|%.2s\n' a b c def; printf '%c%c\n' ab cd; printf '%e %g %.3f\n' 1234.5 0.0001 3.14159

printf '%b\n' 'a\tb\0101'; printf '%q\n' x 2>/dev/null; printf '%%\n'; printf '%s\n' a b c; printf '%d\n' 0x1f 010 "'a"; printf '%5d|%-5d|%05d|%+d\n' 3 3 3 3; printf '\x41\102\n'; printf '%*d\n' 6 42

expr 1 + 2; expr 7 / 2; expr 7 % 3; expr 2 '*' 3; expr 3 '>' 2; expr a '<' b; expr 1 = 2; echo $?; expr abc : 'a\(.\)'; expr abc : b; expr length abcd; expr substr abcdef 2 3; expr index abc c; expr '(' 1 + 2 ')' '*' 3; expr 1 '|' 0; expr 0 '&' 1; expr 1 / 0 2>/dev/null; echo $?

echo -n a; echo b; echo -e 'a\tb\c'; echo; echo -E 'a\tb'; echo -ne 'x\n'; echo -- a; echo "-n"

printf 'hello world\n' | strings; printf 'ab\000abcd\000abcdef\n' > f; strings f; strings -n 2 f; strings -a f; strings -f f; strings -o f; strings -t x f

factor 1 2 12 97 1001 65536; factor 18446744073709551557; echo 30 | factor; basename /a/b.c; basename /a/b.c .c; basename /; basename a/; dirname /a/b; dirname a; dirname /; dirname a/b/; dirname ''

printf 'a\r\nb\r\n' > f; dos2unix f; od -c f; unix2dos f; od -c f; printf 'x\n' | unix2dos | od -c

printf 'c b\nb a\n' | tsort; printf 'a b c d\n' | tsort; printf 'x x\n' | tsort; shuf -n 0 -e a b; shuf -i 1-5 | sort; printf '1\n2\n' | shuf | sort; shuf -e a b c -n 2 | wc -l
