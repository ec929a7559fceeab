//! Fuzz entry points, one function a surface; each must accept any bytes without panicking.
