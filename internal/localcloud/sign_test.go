package localcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

func sign(secret, method, uri, stamp, key string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(method + " " + uri + "\n" + stamp + "\n" + key))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}
