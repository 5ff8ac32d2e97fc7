package definition

import (
	"math/big"
	"strings"
)

// plainKind is the type of an unquoted scalar in the YAML 1.2 core schema; bad
// for a number that JSON does not have.
func plainKind(text string) valueKind {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return kindNull
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return kindFlag
	case ".nan", ".NaN", ".NAN":
		return kindBad
	}
	_, unsigned := sign(text)
	switch unsigned {
	case ".inf", ".Inf", ".INF":
		return kindBad
	}
	if jsonNumber(text) == "" {
		return kindText
	}
	return kindNumber
}

// jsonNumber spells a number of the core schema as JSON does, keeping all its
// digits. It returns "" for what is no such number.
func jsonNumber(text string) string {
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		return wholeNumber(hex, 16)
	}
	if octal, ok := strings.CutPrefix(text, "0o"); ok {
		return wholeNumber(octal, 8)
	}
	minus, rest := sign(text)
	whole, rest := digits(rest)
	fraction := ""
	if behind, point := strings.CutPrefix(rest, "."); point {
		fraction, rest = digits(behind)
		if whole == "" && fraction == "" {
			return ""
		}
		if fraction == "" {
			fraction = "0"
		}
		fraction = "." + fraction
	}
	if whole == "" && fraction == "" || rest != "" && !isExponent(rest) {
		return ""
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	return minus + whole + fraction + rest
}

// wholeNumber spells digits of another base in decimal, or returns "".
func wholeNumber(text string, base int) string {
	if len(text) > 100 || strings.ContainsAny(text, "+-_") {
		return "" // a text, for sure, and converting takes more than linear time
	}
	n, ok := new(big.Int).SetString(text, base)
	if !ok {
		return ""
	}
	return n.String()
}

// sign splits one sign off text; a plus is nothing in JSON.
func sign(text string) (minus, rest string) {
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		return "-", rest
	}
	return "", strings.TrimPrefix(text, "+")
}

// digits splits text behind its leading digits.
func digits(text string) (number, rest string) {
	rest = strings.TrimLeft(text, decimal)
	return text[:len(text)-len(rest)], rest
}

// isExponent reports whether text is an exponent such as "e-3".
func isExponent(text string) bool {
	if text[0] != 'e' && text[0] != 'E' {
		return false
	}
	_, unsigned := sign(text[1:])
	number, rest := digits(unsigned)
	return number != "" && rest == ""
}
