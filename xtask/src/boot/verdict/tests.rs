//! Boots as they were seen, and what is to be said of them.
