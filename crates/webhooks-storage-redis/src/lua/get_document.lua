-- Reads a document: {its value, revision, time of expiry or ''}, or nothing if there is none.
return read_document(document_name(take(), take())) or {}
