"""The study of asymmetric memory: what it plans, keeps, plays, compares and shows."""
