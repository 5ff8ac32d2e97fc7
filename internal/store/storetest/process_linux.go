package storetest

import "syscall"

// endWithParent has the kernel stop the process when this one dies.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
