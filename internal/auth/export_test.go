package auth

import "encoding/binary"

// Bound is how many tokens are known at most.
const Bound = maxKnown

// Remember has so many tokens been looked up, and returns how many of them are
// known still.
func (s *Service) Remember(n int) int {
	for i := range n {
		var key [32]byte
		binary.BigEndian.PutUint64(key[:], uint64(i))
		s.known.Set(key, known{})
	}
	s.known.CleanUp()
	return s.known.EstimatedSize()
}
