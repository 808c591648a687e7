;; Compute kernels, each a module that exports `run`.

;; kernel: fibonacci
(module
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "run") (drop (call $fib (i32.const 24)))))

;; kernel: matrix_product
(module
  (memory 16)
  (func (export "run") (local $i i32) (local $j i32) (local $k i32) (local $sum f64)
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $k (i32.const 0))
        (local.set $sum (f64.const 0))
        (loop $products
          (local.set $sum (f64.add (local.get $sum) (f64.mul
            (f64.load (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 100)) (local.get $k)) (i32.const 3)))
            (f64.load offset=100000 (i32.shl (i32.add (i32.mul (local.get $k) (i32.const 100)) (local.get $j)) (i32.const 3))))))
          (br_if $products (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 100))))
        (f64.store offset=200000 (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 100)) (local.get $j)) (i32.const 3)) (local.get $sum))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 100))))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))))

;; kernel: matrix_product_simd
(module
  (memory 16)
  (func (export "run") (local $i i32) (local $j i32) (local $k i32) (local $sum v128) (local $sum2 v128)
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $k (i32.const 0))
        (local.set $sum (v128.const f32x4 0 0 0 0))
        (local.set $sum2 (v128.const f32x4 0 0 0 0))
        (loop $products
          (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul
            (v128.load32_splat (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 128)) (local.get $k)) (i32.const 2)))
            (v128.load offset=100000 (i32.shl (i32.add (i32.mul (local.get $k) (i32.const 128)) (local.get $j)) (i32.const 2))))))
          (local.set $sum2 (f32x4.add (local.get $sum2) (f32x4.mul
            (v128.load32_splat (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 128)) (local.get $k)) (i32.const 2)))
            (v128.load offset=100016 (i32.shl (i32.add (i32.mul (local.get $k) (i32.const 128)) (local.get $j)) (i32.const 2))))))
          (br_if $products (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 128))))
        (v128.store offset=200000 (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 128)) (local.get $j)) (i32.const 2)) (local.get $sum))
        (v128.store offset=200016 (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 128)) (local.get $j)) (i32.const 2)) (local.get $sum2))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 8))) (i32.const 128))))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 128))))))

;; kernel: shell_sort
(module
  (memory 16)
  (func (export "run") (local $i i32) (local $j i32) (local $gap i32) (local $value i32) (local $state i32)
    (local.set $state (i32.const 12345))
    (loop $fill
      (local.set $state (i32.add (i32.mul (local.get $state) (i32.const 1103515245)) (i32.const 12345)))
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $state))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000))))
    (local.set $gap (i32.const 8192))
    (loop $gaps
      (local.set $i (local.get $gap))
      (loop $next
        (local.set $value (i32.load (i32.shl (local.get $i) (i32.const 2))))
        (local.set $j (local.get $i))
        (block $placed
          (loop $shift
            (br_if $placed (i32.lt_u (local.get $j) (local.get $gap)))
            (br_if $placed (i32.le_s
              (i32.load (i32.shl (i32.sub (local.get $j) (local.get $gap)) (i32.const 2)))
              (local.get $value)))
            (i32.store (i32.shl (local.get $j) (i32.const 2))
              (i32.load (i32.shl (i32.sub (local.get $j) (local.get $gap)) (i32.const 2))))
            (local.set $j (i32.sub (local.get $j) (local.get $gap)))
            (br $shift)))
        (i32.store (i32.shl (local.get $j) (i32.const 2)) (local.get $value))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000))))
      (br_if $gaps (local.tee $gap (i32.shr_u (local.get $gap) (i32.const 1)))))))

;; kernel: hash
(module
  (memory 1)
  (func (export "run") (local $i i32) (local $hash i32)
    (local.set $hash (i32.const 0x811c9dc5))
    (loop $bytes
      (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.load8_u (local.get $i))) (i32.const 16777619)))
      (br_if $bytes (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 65536))))
    (i32.store (i32.const 0) (local.get $hash))))

;; kernel: rotate_rounds
(module
  (func (export "run") (local $i i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32)
    (local.set $a (i32.const 0x67452301)) (local.set $b (i32.const 0x7bcdab89)) (local.set $c (i32.const 0x18badcfe))
    (local.set $d (i32.const 0x10325476)) (local.set $e (i32.const 0x43d2e1f0))
    (loop $rounds
      (local.set $e (i32.add (local.get $e) (i32.add (i32.rotl (local.get $a) (i32.const 5))
        (i32.xor (local.get $d) (i32.and (local.get $b) (i32.xor (local.get $c) (local.get $d)))))))
      (local.set $b (i32.rotl (local.get $b) (i32.const 30)))
      (local.set $d (i32.add (local.get $d) (i32.add (i32.rotl (local.get $e) (i32.const 5))
        (i32.xor (local.get $c) (i32.and (local.get $a) (i32.xor (local.get $b) (local.get $c)))))))
      (local.set $a (i32.rotl (local.get $a) (i32.const 30)))
      (local.set $c (i32.add (local.get $c) (i32.add (i32.rotl (local.get $d) (i32.const 5))
        (i32.xor (local.get $b) (i32.and (local.get $e) (i32.xor (local.get $a) (local.get $b)))))))
      (local.set $e (i32.rotl (local.get $e) (i32.const 30)))
      (br_if $rounds (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000))))))

;; kernel: short_loops
(module
  (memory 1)
  (func (export "run") (local $i i32) (local $j i32) (local $sum i32)
    (loop $outer
      (local.set $j (i32.const 3))
      (loop $inner
        (local.set $sum (i32.add (i32.xor (local.get $sum) (local.get $i)) (i32.load (i32.shl (local.get $j) (i32.const 2)))))
        (br_if $inner (local.tee $j (i32.sub (local.get $j) (i32.const 1)))))
      (br_if $outer (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000))))
    (i32.store (i32.const 0) (local.get $sum))))

;; kernel: calls_of_leaves
(module
  (func $mix (param i32 i32) (result i32)
    (i32.xor (i32.rotl (local.get 0) (i32.const 7)) (i32.mul (local.get 1) (i32.const 0x9e3779b1))))
  (func $two (param i32 i32) (result i32)
    (call $mix (call $mix (local.get 0) (local.get 1)) (local.get 1)))
  (func (export "run") (local $i i32) (local $sum i32)
    (loop $calls
      (local.set $sum (call $two (local.get $sum) (local.get $i)))
      (br_if $calls (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000))))))
