// Package expr evaluates the expressions of pipelines: CEL, checked when it is
// saved and run under limits, without clock, random numbers or input and
// output.
package expr
