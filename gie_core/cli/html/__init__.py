"""One page about a model or an engine: what ``gie inspect --html`` writes."""
