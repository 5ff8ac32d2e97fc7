package ratelimit

// Buckets is how many buckets are kept in memory.
func (l *Limiter) Buckets() int {
	l.local.buckets.CleanUp()
	return l.local.buckets.EstimatedSize()
}

// RedisKey is what the bucket of a key is called in Redis.
func RedisKey(key string, r Rate) string { return bucketOf(key, r).key() }
