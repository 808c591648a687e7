/*
 * Rust's library asks for frames when a program panics, and names what would find handlers of exceptions. No program sees its own
 * frames here, and a panic ends it. Weak, for programs that bring their own.
 */
#include <stddef.h>
#include <stdint.h>

#define END_OF_STACK 5
#define WEAK __attribute__((__weak__))

WEAK int _Unwind_Backtrace(int (*each)(void *, void *), void *argument) { return END_OF_STACK; }
WEAK uintptr_t _Unwind_GetIP(void *frame) { return 0; }
WEAK uintptr_t _Unwind_GetIPInfo(void *frame, int *is_before) { return 0; }
WEAK uintptr_t _Unwind_GetCFA(void *frame) { return 0; }
WEAK uintptr_t _Unwind_GetRegionStart(void *frame) { return 0; }
WEAK uintptr_t _Unwind_GetTextRelBase(void *frame) { return 0; }
WEAK uintptr_t _Unwind_GetDataRelBase(void *frame) { return 0; }
WEAK void *_Unwind_GetLanguageSpecificData(void *frame) { return NULL; }
WEAK void *_Unwind_FindEnclosingFunction(void *address) { return NULL; }
WEAK void _Unwind_SetGR(void *frame, int index, uintptr_t value) {}
WEAK void _Unwind_SetIP(void *frame, uintptr_t value) {}
