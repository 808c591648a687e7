/* A debugger sees no registers. */
struct user_regs_struct {
	unsigned long __none;
};
struct user_fpregs_struct {
	unsigned long __none;
};
#define ELF_NGREG 1
typedef unsigned long elf_greg_t, elf_gregset_t[ELF_NGREG];
typedef struct user_fpregs_struct elf_fpregset_t;
