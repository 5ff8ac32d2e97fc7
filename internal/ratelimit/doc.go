// Package ratelimit bounds how often something is asked for: sign-ins by
// address, requests by user or token.
//
// A [Rate] is a bucket of requests. Each request takes one out of it, and it
// refills evenly, one request every Per/Requests, by the generic cell rate
// algorithm (GCRA): of a bucket nothing is kept but the time at which it is
// full again. Whoever was idle may ask Requests times at once and then at the
// steady rate, so that no span of Per lets more than 2*Requests-1 through.
//
// A bucket belongs to a key and a rate. Two rates of one key count apart, and
// a key whose rate is changed begins with a full bucket.
//
// # Memory
//
// Buckets are kept in memory, at most [Options.Keys] of them, of about 120 bytes
// each, whatever the length of their keys. One is forgotten within seconds of
// being full again, which is never later than Per after its last request: an
// idle key costs nothing, and forgetting it changes nothing.
//
// When there are too many, those are given up that were asked for least often
// and least lately. A key that is given up begins with a full bucket. Somebody
// with more keys than that, say the addresses of a network, can crowd out
// buckets of their own, and so gain one more for each Keys requests or so: less
// than those many fresh keys let through anyway. The bucket of whoever is held
// back and keeps asking stays. Keys should be things of which it is hard to
// have many: of an IPv6 address its /64 network.
//
// # Redis
//
// With [Options.Redis] the instances that share a Redis share their buckets,
// and count by its clock. What an instance saw of a shared bucket is noted in
// its memory too, so that the bucket there holds no more than the shared one
// did then.
//
// When Redis does not answer within [Options.Timeout], the bucket in memory
// decides at once: a key that was used up stays so, and nobody gets through
// without a limit. Redis is then left alone but for one request a second, which
// sees whether it is back. Meanwhile each instance counts for itself, so that n
// instances let through n times the rate together. Once Redis is back its
// buckets decide again. They know nothing of what was let through meanwhile, or
// of anything if Redis lost what it held, so that a key may get a full bucket
// more each time. A request whose answer was lost may count twice.
package ratelimit
