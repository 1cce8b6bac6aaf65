"""A fleet for people and programs: a row for every machine that was asked for, in each of its files."""
