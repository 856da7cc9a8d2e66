#ifndef C_OPENSSL_H
#define C_OPENSSL_H
// OpenSSL's macros are invisible to Swift: each one that we use has an inline twin here.
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>

static const uint64_t COPENSSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t COPENSSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t COPENSSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t COPENSSL_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;
static const uint64_t COPENSSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;
static const uint64_t COPENSSL_OP_NO_ANTI_REPLAY = SSL_OP_NO_ANTI_REPLAY;

static inline int c_ssl_ctx_set_min_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_min_proto_version(c, v); }
static inline int c_ssl_ctx_set_max_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_max_proto_version(c, v); }
static inline long c_ssl_ctx_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long c_ssl_set_mode(SSL *s, long m) { return SSL_set_mode(s, m); }
static inline long c_ssl_clear_mode(SSL *s, long m) { return SSL_clear_mode(s, m); }
static inline long c_ssl_ctx_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline int c_ssl_ctx_set1_groups_list(SSL_CTX *c, const char *l) { return (int)SSL_CTX_set1_groups_list(c, (char *)l); }
static inline void c_ssl_ctx_set_servername_callback(SSL_CTX *c, int (*f)(SSL *, int *, void *)) { SSL_CTX_set_tlsext_servername_callback(c, f); }
static inline void c_ssl_ctx_set_servername_arg(SSL_CTX *c, void *a) { SSL_CTX_set_tlsext_servername_arg(c, a); }
static inline int c_ssl_set_tlsext_host_name(SSL *s, const char *n) { return (int)SSL_set_tlsext_host_name(s, n); }
static inline void c_ssl_ctx_set_app_data(SSL_CTX *c, void *d) { SSL_CTX_set_app_data(c, d); }
static inline void *c_ssl_ctx_get_app_data(SSL_CTX *c) { return SSL_CTX_get_app_data(c); }
static inline void c_ssl_set_app_data(SSL *s, void *d) { SSL_set_app_data(s, d); }
static inline void *c_ssl_get_app_data(SSL *s) { return SSL_get_app_data(s); }
static inline void c_bio_set_retry_read(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_read(b); }
static inline void c_bio_set_retry_write(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_write(b); }
static inline void c_bio_clear_retry_flags(BIO *b) { BIO_clear_retry_flags(b); }
static inline EVP_PKEY *c_evp_ec_gen(const char *curve) { return EVP_EC_gen(curve); }
static inline int c_err_get_reason(unsigned long e) { return ERR_GET_REASON(e); }
static inline int c_evp_pkey_security_bits(EVP_PKEY *k) { return EVP_PKEY_get_security_bits(k); }
static inline unsigned long c_bio_get_mem_data(BIO *b, char **p) { return (unsigned long)BIO_get_mem_data(b, p); }
static inline int c_sk_general_name_num(GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
static inline GENERAL_NAME *c_sk_general_name_value(GENERAL_NAMES *n, int i) { return sk_GENERAL_NAME_value(n, i); }
static inline int c_ssl_set1_verify_cert_store(SSL *s, X509_STORE *st) { return (int)SSL_set1_verify_cert_store(s, st); }
static const int COPENSSL_EVP_PKEY_PUBLIC_KEY = EVP_PKEY_PUBLIC_KEY;
#endif
