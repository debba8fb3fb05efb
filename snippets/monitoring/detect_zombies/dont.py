import stock

if __name__ == "__main__":
    run_id, process = stock.start()
    process.kill()
    print(f"After kill -9: {stock.next_state(run_id, wait=5)}")
