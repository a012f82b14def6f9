"""The sweep file: what it may say, read and checked."""
