//! 3D printers over real sockets.
