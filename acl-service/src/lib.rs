//! acl-service
