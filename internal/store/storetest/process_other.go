//go:build !linux

package storetest

import "syscall"

// endWithParent does nothing: only Linux has the kernel stop a child.
func endWithParent(*syscall.SysProcAttr) {}
