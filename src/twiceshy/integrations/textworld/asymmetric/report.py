def report_of(found, *, manifest): raise NotImplementedError
