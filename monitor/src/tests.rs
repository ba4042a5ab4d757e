//! A machine made of a map of pages, and hostile guests.
