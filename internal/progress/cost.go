package progress

import (
	"fmt"

	"gathering"
)

// Cost is what model calls cost, as far as anybody here knows.
func Cost(u gathering.Usage) string {
	const dollar = 1_000_000
	known := fmt.Sprintf("$%d.%06d", u.CostMicros/dollar, u.CostMicros%dollar)
	switch {
	case u.Unpriced > 0 && u.CostMicros == 0:
		return fmt.Sprintf("unknown for %d of %d model calls: no price is known", u.Unpriced, u.ModelCalls)
	case u.Unpriced > 0:
		return fmt.Sprintf("%s without %d of %d model calls, for which no price is known", known, u.Unpriced, u.ModelCalls)
	case u.CostMicros > 0:
		return known
	default:
		return ""
	}
}
