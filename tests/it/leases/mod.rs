//! More than one who has a say: two builds with the same targets, a makeroom inside a makeroom,
//! people who change containers in mid-build; and the keeper, which nobody else may hold or end.

mod keeper;
mod nested;
mod side_by_side;
