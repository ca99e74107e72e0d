-- Certificates that applications sign in with instead of a client secret. Nothing here is secret: an application proves
-- itself by what it signs with the private key, which this server never sees. Thumbprints are those of the whole DER.
CREATE TABLE kv_application_certificates (
    id INTEGER PRIMARY KEY,
    application_id INTEGER NOT NULL REFERENCES kv_applications (id) ON DELETE CASCADE,
    sha1 BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    der BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX kv_application_certificates_once ON kv_application_certificates (application_id, sha256);
